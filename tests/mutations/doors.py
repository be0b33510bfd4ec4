"""Every way in for files from outside: what a sound input is, how it is tampered with, and how it is opened."""

from mutations.result_doors import RESULT_DOORS
from mutations.screen_doors import SCREEN_DOORS
from mutations.split_doors import SPLIT_DOORS

DOORS = (*SCREEN_DOORS, *SPLIT_DOORS, *RESULT_DOORS)
