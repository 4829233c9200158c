from .report import ReportTable as ReportTable
from .report import report_text as report_text
from .snapshot import SnapshotTable as SnapshotTable
from .snapshot import snapshot_tree as snapshot_tree
from .tables import readings_table as readings_table
from .usage import UsageTable as UsageTable
