"""What people see of objects and results: cards, tables, progress, charts."""

from b2brecs.display.card import Card, Table
from b2brecs.display.charts import offline
from b2brecs.display.progress import progress

__all__ = ["Card", "Table", "offline", "progress"]
