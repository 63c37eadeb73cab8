from report.table import table

print(table())
