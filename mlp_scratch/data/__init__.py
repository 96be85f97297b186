"""Data sets: named ones, and those in CSV and NPZ files; splitting and scaling them."""

from mlp_scratch.data.csv_files import read_csv as read_csv
from mlp_scratch.data.dataset import Dataset as Dataset
from mlp_scratch.data.digits import load_digits as load_digits
from mlp_scratch.data.idx import read_idx as read_idx
from mlp_scratch.data.image_sets import load_fashion_mnist as load_fashion_mnist
from mlp_scratch.data.image_sets import load_mnist as load_mnist
from mlp_scratch.data.load import load_dataset as load_dataset
from mlp_scratch.data.load import loaders as loaders
from mlp_scratch.data.load import read_features as read_features
from mlp_scratch.data.npz_files import load_npz as load_npz
from mlp_scratch.data.product import load_xy as load_xy
from mlp_scratch.data.scaler import Scaler as Scaler
from mlp_scratch.data.splitting import split as split
from mlp_scratch.data.table import Table as Table
