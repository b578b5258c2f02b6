"""The bench: a pump's mechanics as a model, boards to run the firmware on, and the runner of scenarios.

Read `scenario` (a TOML file to a checked experiment), `plant` (the mechanics), `bench` (what every board
offers), then one board (`inprocess`, `unixport` or the `chip` folder) and `runner`, where they meet. It
stands on `thecal_model` and knows nothing of `thecal_host`. Nothing here is flashed, and the firmware imports
nothing from here.
"""
