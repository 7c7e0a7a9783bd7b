"""The page: tabs over a host. Nothing here knows a model; everything is a request and its results."""
