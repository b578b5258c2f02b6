"""A run as one page that needs no other file: what was programmed, what came of it, how far that is proven.

`facts` finds out what the page says, `timeline` draws states and alarms, `render` makes HTML of it (jinja2,
which `make desk` brings) and PDF where there is a Chromium. A record that is damaged makes no page.
"""
