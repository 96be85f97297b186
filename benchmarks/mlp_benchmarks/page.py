"""tmp"""


def write_page(path, report):
    pass
