"""De-identification of DICOM files: read strictly, written anew from an allow-list, proved by a search of the output."""
