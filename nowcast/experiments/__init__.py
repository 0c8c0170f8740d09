"""The tables and figures of the PredLDM paper, each one command on a store: `nowcast experiment`.

An experiment (`settings`) lists variants: models, with settings and forecasts that differ. Each variant is trained or
loaded (`runs`), forecast and scored (`bench`), and becomes rows of a result (`results`), which is written as Markdown
(`page`), NetCDF and a figure (`figures`). Steps that are done are files under names that tell what they were made from,
so that a stopped experiment resumes and experiments share them.
"""
