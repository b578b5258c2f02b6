"""`thecal desk`: pumps on a page of this computer: look, drive, program, calibrate, read the log.

`session` hears one pump and keeps what it tells, as `thecal record` does; `orders` says what each button
sends and in which role; both know no page. `server` serves the pages, `guard` refuses whoever has no token or
comes from another site. What a person sees: `overview`, `pages` (head, ways between), `cards`, `chart`,
`drive` (buttons), `proposals` (read-backs), `programming` (the form of a therapy), `calibrating` (and its
`course`, beside the page), `logs`, `reports`.
Nothing here can do what the command cannot, and every sentence of a refusal is the pump's.
"""
