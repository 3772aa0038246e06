"""What is wrong with the database half of an audit trail: one check a function, one line a finding."""

from .examination import Examination as Examination
from .examination import examine as examine
from .target import Target as Target
from .target import environment_origin as environment_origin
