"""The answer in codes that other systems read, for DICOM and FHIR; all of it from one ``result.json``."""
