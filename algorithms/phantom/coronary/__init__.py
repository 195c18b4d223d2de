"""A synthetic coronary CT angiography: person, anatomy, disease, scanner, DICOM and truth."""
