"""The page: one HTML file with tables and plots, drawn here as SVG, that needs neither network nor script."""

from mlp_benchmarks.page.document import write_page as write_page
