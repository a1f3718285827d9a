"""Annotate folders of images by phrases: a resumable job, exports to other tools' formats, review and calibration."""
