"""How the embedded backbone was made: distillation on Tiny ImageNet."""
