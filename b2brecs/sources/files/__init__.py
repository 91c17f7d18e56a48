"""Files as a source, wherever they lie: one reader over small stores (a folder, S3, Google Cloud, Azure)."""
