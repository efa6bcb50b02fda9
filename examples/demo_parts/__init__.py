"""What `examples/demo.py` is made of: one module for each model, one that ships them, one that writes the page."""
