"""What results repeat of a series: elements of its patient and its study, by the modules of PS3.3.

These are what highdicom repeats in a SEG (`SOPClass.copy_patient_and_study_information`), and an RTSTRUCT
is to say the same.
"""

OFTEN_LACKING = (
    *("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID"),
    *("StudyDate", "StudyTime", "ReferringPhysicianName"),
)
"""Elements that the standard asks for, if only empty, and that anonymized series often lack altogether."""
PATIENT = (
    *("ReferencedPatientSequence", "IssuerOfPatientID", "TypeOfPatientID"),
    *("IssuerOfPatientIDQualifiersSequence", "SourcePatientGroupIdentificationSequence"),
    *("GroupOfPatientsIdentificationSequence", "PatientBirthTime", "PatientBirthDateInAlternativeCalendar"),
    *("PatientDeathDateInAlternativeCalendar", "PatientAlternativeCalendar", "QualityControlSubject"),
    *("StrainDescription", "StrainNomenclature", "StrainStockSequence", "StrainAdditionalInformation"),
    *("StrainCodeSequence", "GeneticModificationsSequence", "OtherPatientNames", "OtherPatientIDsSequence"),
    *("ReferencedPatientPhotoSequence", "EthnicGroupCodeSequence", "PatientSpeciesDescription"),
    *("PatientSpeciesCodeSequence", "PatientBreedDescription", "PatientBreedCodeSequence"),
    *("BreedRegistrationSequence", "ResponsiblePerson", "ResponsiblePersonRole", "ResponsibleOrganization"),
    *("PatientComments", "PatientIdentityRemoved", "DeidentificationMethod"),
    "DeidentificationMethodCodeSequence",
)
"""Module Patient (C.7.1.1), but for what is often lacking."""
TRIAL = (
    *("ClinicalTrialSponsorName", "ClinicalTrialProtocolID", "ClinicalTrialProtocolName"),
    *("IssuerOfClinicalTrialProtocolID", "OtherClinicalTrialProtocolIDsSequence", "ClinicalTrialSiteID"),
    *("ClinicalTrialSiteName", "IssuerOfClinicalTrialSiteID", "ClinicalTrialSubjectID"),
    *("IssuerOfClinicalTrialSubjectID", "ClinicalTrialSubjectReadingID"),
    *("IssuerOfClinicalTrialSubjectReadingID", "ClinicalTrialProtocolEthicsCommitteeName"),
    *("ClinicalTrialProtocolEthicsCommitteeApprovalNumber", "ClinicalTrialTimePointID"),
    *("ClinicalTrialTimePointDescription", "LongitudinalTemporalOffsetFromEvent"),
    *("LongitudinalTemporalEventType", "ClinicalTrialTimePointTypeCodeSequence"),
    *("IssuerOfClinicalTrialTimePointID", "ConsentForClinicalTrialUseSequence"),
)
"""Modules Clinical Trial Subject and Clinical Trial Study (C.7.1.3, C.7.2.3)."""
STUDY = (
    *("StudyDescription", "IssuerOfAccessionNumberSequence", "ReferringPhysicianIdentificationSequence"),
    *("ConsultingPhysicianName", "ConsultingPhysicianIdentificationSequence", "ProcedureCodeSequence"),
    *("PhysiciansOfRecord", "PhysiciansOfRecordIdentificationSequence", "NameOfPhysiciansReadingStudy"),
    *("PhysiciansReadingStudyIdentificationSequence", "ReferencedStudySequence", "RequestingService"),
    *("RequestingServiceCodeSequence", "ReasonForPerformedProcedureCodeSequence"),
    *("AdmittingDiagnosesDescription", "AdmittingDiagnosesCodeSequence", "PatientAge", "PatientSize"),
    *("PatientSizeCodeSequence", "PatientBodyMassIndex", "MeasuredAPDimension", "MeasuredLateralDimension"),
    *("PatientWeight", "MedicalAlerts", "Allergies", "Occupation", "SmokingStatus", "PregnancyStatus"),
    *("AdditionalPatientHistory", "LastMenstrualDate", "PatientSexNeutered", "ReasonForVisit"),
    *("ReasonForVisitCodeSequence", "AdmissionID", "IssuerOfAdmissionIDSequence", "ServiceEpisodeID"),
    *("ServiceEpisodeDescription", "IssuerOfServiceEpisodeIDSequence", "PatientState"),
)
"""Modules General Study and Patient Study (C.7.2.1, C.7.2.2), but for identifiers and what often lacks."""
OPTIONAL = (*PATIENT, *TRIAL, *STUDY)
"""Elements without which the objects are whole."""
OF_BOTH = ("IssuerOfPatientID", "LongitudinalTemporalInformationModified", "TimezoneOffsetFromUTC")
"""Elements that highdicom leaves behind, all or of some classes."""
