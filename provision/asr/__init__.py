"""The speech service: FunASR's SenseVoice behind HTTP, started with ``python -m provision.asr``.

The package stands alone (it is copied to hosts without the rest of ``provision``) and runs on Python 3.9 and
later.

- ``declared`` / ``settings`` / ``modelfiles``: what was asked for, and whether it can work
- ``server`` / ``app`` / ``forms`` / ``upload`` / ``page.html``: HTTP
- ``service`` / ``pool`` / ``child``: the queue of requests, and the processes that decode and recognize
- ``worker`` / ``audio`` / ``recognizer``: what runs inside those processes
- ``transcript`` / ``schemas`` / ``metrics`` / ``errors``: the answers
- ``spool``: the temporary files
"""
