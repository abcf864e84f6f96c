"""A small Molmo: image crops and a vision transformer, a pooling connector, a language model.

Read it in the order of the data: `sizes`, `crops`, `prompts`, `tokenizer`, `data`, then
`attention`, `vision`, `connector`, `language`, `model`, then `optimisers` and `train`; a whole run
on a release is `training_run`, over `stream`, `distributed` and `checkpoint`; `ask` answers.
Source of the architecture: Deitke et al. 2024, Molmo and PixMo, arXiv 2409.17146.
"""
