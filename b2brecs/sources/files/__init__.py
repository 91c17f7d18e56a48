"""Files as a source, wherever they lie."""
