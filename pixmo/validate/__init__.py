"""Whether a release keeps its promises, and whether it teaches what its images show."""
