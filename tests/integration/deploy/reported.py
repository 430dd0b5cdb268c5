"""A pipeline whose topics only the report's test uses; named on the command line."""

from dataclasses import replace

from streams.pipelines.fraud import PIPELINE as FRAUD

PIPELINE = replace(FRAUD, name="reported")
