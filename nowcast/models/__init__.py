"""The table of models: one line adds one, as `"module:Class"` so that a name costs no import."""

MODELS: dict[str, str] = {
    "persistence": "nowcast.models.persistence:Persistence",
    "advection": "nowcast.models.advection:Advection",
    "steps": "nowcast.models.steps:Steps",
    "predldm": "nowcast.models.predldm:PredLDM",
}
