"""DICOM objects that carry a result: segmentation, structured report, encapsulated document, key pictures."""
