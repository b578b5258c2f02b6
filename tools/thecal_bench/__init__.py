"""The bench: a pump's mechanics as a model, boards to run the firmware on, and the runner of scenarios.

Read `quantities` (text to exact numbers), `scenario` (a TOML file to a checked experiment), `plant` (the
mechanics), `bench` (what every board offers), then one board (`inprocess`, `unixport` or the `chip` folder)
and `runner`, where they meet. Nothing here is flashed, and the firmware imports nothing from here.
"""
