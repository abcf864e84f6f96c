"""What a trained model can do, measured on held-out rows, with its uncertainty."""
