"""DICOM in: reading headers of untrusted files, telling series apart, geometry, pixels, de-identification."""
