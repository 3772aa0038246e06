"""What is wrong with an audit trail, in the database and on disk: one check a function, one line a finding."""

from .examination import Examination as Examination
from .examination import examine as examine
from .spool import check_spool as check_spool
from .target import Target as Target
from .target import environment_origin as environment_origin
