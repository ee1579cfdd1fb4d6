"""Service kind `asr`."""

from provision.kinds.asr import demand, fields, lower
from provision.kinds.kind import Kind

KIND = Kind(
    fields.AsrService,
    lower.lower,
    required=lower.required,
    expects=lower.expects,
    engines=("funasr",),
    decides=demand.DECIDES,
    cards=demand.cards,
    demand=demand.demand,
    offers=lower.offers,
)
