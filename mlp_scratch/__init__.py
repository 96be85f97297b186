"""Many-layer perceptrons from scratch; the table of contents is filled in as the parts are written."""
