"""A small Molmo: image crops and a vision transformer, a pooling connector, a language model.

Read it in the order of the data: `sizes`, `stages`, `crops`, `prompts`, `tokenizer`, `data`, then
the model: `attention`, `vision`, `connector`, `language`, `weights` (backbones of others),
`losses`, `model`; `generate` writes answers. A step is `optimisers` and `train`; a whole run on a
release is `training_run`, over `stream`, `stopping`, `distributed`, `device`, `checkpoint`,
`run_folder`, `metrics` and `samples`. `cost` counts weights and operations; `ask` and `ask_server`
answer people. Source of the architecture: Deitke et al. 2024, Molmo and PixMo, arXiv 2409.17146.
"""
