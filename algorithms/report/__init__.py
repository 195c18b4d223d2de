"""A report as data, and its two writers: one HTML file and one PDF.

A diagnostic declares a :class:`~algorithms.report.blocks.Report` (sections of a few block kinds) and hands it to
:func:`algorithms.report.html.write_html` and :func:`algorithms.report.pdf.write_pdf`.  Equal reports are equal files.
"""
