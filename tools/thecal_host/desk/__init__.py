"""`thecal desk`: pumps on a page of this computer: look, drive, program, calibrate, read the log.

`session` hears one pump and keeps what it tells, as `thecal record` does (`known`); `orders` says what each
button sends and in which role; both know no page. `server` serves the pages, `guard` refuses whoever has no
token or comes from another site. What a person sees: `overview`, `pages` (head, ways between), `cards`,
`alarms`, `chart`, `drive` (buttons), `proposals` (read-backs), `programming` (the form of a therapy),
`calibrating` (and its `course`, beside the page), `logs`, `reports`. `showcase` takes the picture of it,
`cost` measures it.

Nothing here can do what the command cannot, and every sentence of a refusal is the pump's.
"""
