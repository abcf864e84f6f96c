"""The making of the sample's recogniser: `python -m pixmo.demo.training FOLDER`."""
