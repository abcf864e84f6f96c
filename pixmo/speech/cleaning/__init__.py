"""What somebody said, as they would have written it: without slips, and nothing twice."""
