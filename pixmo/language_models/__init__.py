"""Language models behind servers: how they are asked, and the files of what they are told."""
