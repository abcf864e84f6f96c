"""Label Studio: exports kept whole, parsed strictly into rows; what annotators agree on."""
