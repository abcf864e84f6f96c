"""The sample: a small made world, spoken about, labelled, and walked through the main job."""
