"""Enhanced CT and MR images with the invented identity, and names planted in their functional groups."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset, FileDataset
from pydicom.sequence import Sequence

from tests.algorithms.dicom.ct_series import ROOT, image

ENHANCED_CT, ENHANCED_MR = "1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.4.1"
CLASSIC_ONLY = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness", "RescaleIntercept",
                "RescaleSlope", "RescaleType", "WindowCenter", "WindowWidth", "KVP", "ConvolutionKernel", "ContrastBolusAgent",
                "ReferencedImageSequence", "AcquisitionTime")  # fmt: skip


def item(**values: Any) -> Dataset:
    """Return an item of a sequence; a dataset among the values becomes a sequence of one."""
    dataset = Dataset()
    with disable_value_validation():
        for keyword, value in values.items():
            setattr(dataset, keyword, Sequence([value]) if isinstance(value, Dataset) else value)
    return dataset


def code(value: str, scheme: str, meaning: str) -> Dataset:
    """Return a coded entry."""
    return item(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)


def volume(frames: int, side: int = 16) -> np.ndarray:
    """Return frames of noise, int16 HU (Z, Y, X)."""
    return np.random.default_rng(5).integers(-1000, 1500, (frames, side, side)).astype(np.int16)


def enhanced(frames: int = 3, sop_class: str = ENHANCED_CT, side: int = 16) -> FileDataset:
    """Return an enhanced image whose frames lie 0.5 mm apart."""
    pixels = volume(frames, side)
    with disable_value_validation():
        dataset = image(pixels[0], 1)
        for keyword in CLASSIC_ONLY:
            delattr(dataset, keyword)
        _top(dataset, sop_class, frames)
        dataset.SharedFunctionalGroupsSequence = Sequence([_shared(sop_class)])
        dataset.PerFrameFunctionalGroupsSequence = Sequence([_frame(n, sop_class) for n in range(frames)])
    dataset.PixelData = np.clip(pixels.astype(np.int32) + 1024, 0, 4095).astype("<u2").tobytes()
    return dataset


def file_of(dataset: FileDataset) -> bytes:
    """Return the bytes of a file."""
    buffer = BytesIO()
    with disable_value_validation():
        dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _top(dataset: FileDataset, sop_class: str, frames: int) -> None:
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = sop_class
    dataset.NumberOfFrames, dataset.InstanceNumber = frames, 7
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    dataset.SoftwareVersions, dataset.BurnedInAnnotation, dataset.LossyImageCompression = "syngo Quastenflosser", "NO", "00"
    dataset.PixelPresentation, dataset.VolumetricProperties = "MONOCHROME", "VOLUME"
    dataset.VolumeBasedCalculationTechnique, dataset.PresentationLUTShape = "NONE", "IDENTITY"
    dataset.ContentQualification, dataset.AcquisitionDateTime, dataset.AcquisitionDuration = "PRODUCT", "20260314093215.5", 4.5
    dataset.SynchronizationFrameOfReferenceUID, dataset.SynchronizationTrigger = f"{ROOT}.8", "NO TRIGGER"
    dataset.AcquisitionTimeSynchronized = "N"
    dataset.AcquisitionContextSequence = Sequence([item(
        ValueType="TEXT", TextValue="Quastenflosser", ConceptNameCodeSequence=code("121106", "DCM", "Comment"),
    )])  # fmt: skip
    organization = f"{ROOT}.77"
    dataset.DimensionOrganizationSequence = Sequence([item(DimensionOrganizationUID=organization)])
    pointers = [0x00209056, 0x00209057]
    dataset.DimensionIndexSequence = Sequence([
        item(DimensionIndexPointer=tag, FunctionalGroupPointer=0x00209111, DimensionOrganizationUID=organization,
             DimensionDescriptionLabel="Quastenflosser") for tag in pointers
    ])  # fmt: skip
    if sop_class == ENHANCED_MR:
        dataset.Modality, dataset.MagneticFieldStrength, dataset.ResonantNucleus = "MR", "3", "1H"
        dataset.KSpaceFiltering, dataset.ApplicableSafetyStandardAgency = "NONE", "IEC"
        dataset.ComplexImageComponent, dataset.AcquisitionContrast, dataset.PulseSequenceName = "MAGNITUDE", "T1", "*tfl_Otto"
        for keyword in ("MultipleSpinEcho", "MultiPlanarExcitation", "PhaseContrast", "TimeOfFlightContrast",
                        "EchoPlanarPulseSequence", "SaturationRecovery"):  # fmt: skip
            setattr(dataset, keyword, "NO")
        dataset.MRAcquisitionType, dataset.EchoPulseSequence, dataset.SteadyStatePulseSequence = "3D", "GRADIENT", "NONE"
        del dataset.MultipleSpinEcho  # of spin echoes only
        dataset.SpectrallySelectedSuppression, dataset.OversamplingPhase = "FAT", "NONE"
        dataset.GeometryOfKSpaceTraversal, dataset.SegmentedKSpaceTraversal = "RECTILINEAR", "SINGLE"
        dataset.NumberOfKSpaceTrajectories, dataset.RectilinearPhaseEncodeReordering = 1, "LINEAR"
        dataset.CoverageOfKSpace = "FULL"


def _shared(sop_class: str) -> Dataset:
    shared = item(
        PixelMeasuresSequence=item(PixelSpacing=["0.48828125", "0.48828125"], SliceThickness="0.75"),
        PlaneOrientationSequence=item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0]),
        PixelValueTransformationSequence=item(RescaleIntercept="-1024", RescaleSlope="1", RescaleType="HU"),
        FrameVOILUTSequence=item(WindowCenter="200", WindowWidth="800", WindowCenterWidthExplanation="Quastenflosser"),
        FrameAnatomySequence=item(FrameLaterality="U", AnatomicRegionSequence=code("80891009", "SCT", "Herz Quastenflosser")),
        RealWorldValueMappingSequence=item(
            RealWorldValueFirstValueMapped=0, RealWorldValueLastValueMapped=4095, RealWorldValueIntercept=-1024.0,
            RealWorldValueSlope=1.0, LUTExplanation="HU of Quastenflosser", LUTLabel="Ottokar",
            MeasurementUnitsCodeSequence=code("[hnsf'U]", "UCUM", "Quastenflosser unit"),
        ),
    )  # fmt: skip
    types = {"PixelPresentation": "MONOCHROME", "VolumetricProperties": "VOLUME", "VolumeBasedCalculationTechnique": "NONE"}
    frame_type = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    if sop_class == ENHANCED_MR:
        types |= {"ComplexImageComponent": "MAGNITUDE", "AcquisitionContrast": "T1"}
        shared.MRImageFrameTypeSequence = Sequence([item(FrameType=frame_type, **types)])
        shared.MREchoSequence = Sequence([item(EffectiveEchoTime=2.75)])
        shared.MRReceiveCoilSequence = Sequence([item(ReceiveCoilName="Ottokars", ReceiveCoilManufacturerName="Quastenflosser",
                                                      ReceiveCoilType="BODY", QuadratureReceiveCoil="YES")])  # fmt: skip
        shared.MRTransmitCoilSequence = Sequence([item(TransmitCoilName="Ottokars", TransmitCoilManufacturerName="Siemens",
                                                       TransmitCoilType="BODY")])  # fmt: skip
        shared.MRTimingAndRelatedParametersSequence = Sequence([item(
            RepetitionTime="500", FlipAngle="15", EchoTrainLength=1, RFEchoTrainLength=0, GradientEchoTrainLength=1,
            SpecificAbsorptionRateSequence=item(SpecificAbsorptionRateDefinition="IEC_HEAD", SpecificAbsorptionRateValue=0.5),
            OperatingModeSequence=item(OperatingModeType="RF", OperatingMode="IEC_NORMAL"),
        )])  # fmt: skip
        shared.MRFOVGeometrySequence = Sequence([item(
            InPlanePhaseEncodingDirection="ROW", MRAcquisitionFrequencyEncodingSteps=256,
            MRAcquisitionPhaseEncodingStepsInPlane=256, MRAcquisitionPhaseEncodingStepsOutOfPlane=1, PercentSampling="100",
            PercentPhaseFieldOfView="100",
        )])  # fmt: skip
        shared.MRModifierSequence = Sequence([item(
            InversionRecovery="NO", FlowCompensation="NONE", Spoiling="RF", T2Preparation="NO",
            SpectrallySelectedExcitation="NONE", SpatialPresaturation="NONE", PartialFourier="NO", ParallelAcquisition="NO",
        )])  # fmt: skip
        shared.MRImagingModifierSequence = Sequence([item(
            MagnetizationTransfer="NONE", BloodSignalNulling="NO", Tagging="NONE", TransmitterFrequency=123.25,
            PixelBandwidth="200",
        )])  # fmt: skip
        shared.MRAveragesSequence = Sequence([item(NumberOfAverages="1")])
        return shared
    shared.CTImageFrameTypeSequence = Sequence([item(FrameType=frame_type, **types)])
    shared.CTAcquisitionTypeSequence = Sequence([item(AcquisitionType="SPIRAL", ConstantVolumeFlag="NO", FluoroscopyFlag="NO")])
    shared.CTAcquisitionDetailsSequence = Sequence([item(
        RotationDirection="CW", RevolutionTime=0.25, SingleCollimationWidth=0.6, TotalCollimationWidth=38.4, TableHeight="150",
        GantryDetectorTilt="0", DataCollectionDiameter="500",
    )])  # fmt: skip
    shared.CTTableDynamicsSequence = Sequence([item(TableSpeed=737.0, TableFeedPerRotation=184.0, SpiralPitchFactor=3.2)])
    shared.CTGeometrySequence = Sequence([item(DistanceSourceToDetector="1085.6", DistanceSourceToDataCollectionCenter=595.0)])
    shared.CTReconstructionSequence = Sequence([item(
        ReconstructionAlgorithm="ITERATIVE", ConvolutionKernel="Quastenflosser", ConvolutionKernelGroup="SOFT_TISSUE",
        ReconstructionDiameter="250", ReconstructionPixelSpacing=[0.48828125, 0.48828125], ReconstructionAngle=180.0,
        ImageFilter="Ottokar 3",
    )])  # fmt: skip
    shared.CTExposureSequence = Sequence([item(
        ExposureTimeInms=250.0, XRayTubeCurrentInmA=600.0, ExposureInmAs=150.0, ExposureModulationType="NONE", CTDIvol=3.25,
        CTDIPhantomTypeCodeSequence=code("113691", "DCM", "IEC Body Dosimetry Phantom"),
    )])  # fmt: skip
    shared.CTXRayDetailsSequence = Sequence([item(
        KVP="100", FocalSpots=["1.2"], FilterType="FLAT", FilterMaterial=["ALUMINUM"],
    )])  # fmt: skip
    return shared


def _frame(number: int, sop_class: str) -> Dataset:
    frame = item(
        FrameContentSequence=item(
            FrameAcquisitionNumber=1, FrameReferenceDateTime=f"2026031409321{number % 10}.25",
            FrameAcquisitionDateTime=f"2026031409321{number % 10}.125", FrameAcquisitionDuration=250.0,
            DimensionIndexValues=[1, number + 1], StackID="Ottokar", InStackPositionNumber=number + 1,
            FrameComments="Quastenflosser", FrameLabel="Ottokar",
        ),
        PlanePositionSequence=item(ImagePositionPatient=["-124.755859375", "-124.755859375", f"{number / 2 - 100.123456:.6f}"]),
        IrradiationEventIdentificationSequence=item(IrradiationEventUID=f"{ROOT}.66"),
    )  # fmt: skip
    if sop_class == ENHANCED_CT:
        centre = [0.0, 0.0, number * 0.5]
        frame.CTPositionSequence = Sequence([item(
            TablePosition=number * 0.5, DataCollectionCenterPatient=centre, ReconstructionTargetCenterPatient=centre,
        )])  # fmt: skip
    return frame
