"""The recorder: a page on which annotators look at an image and speak, and the server behind it."""
