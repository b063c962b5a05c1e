"""`lit-seq agent`: a W&B sweep's runs, trained as packs."""
