"""The version of the package and of each manifest."""

# In the code, since a plugins folder such as Amazon MWAA's has no metadata of an installed package.
__version__ = "0.2.0"
