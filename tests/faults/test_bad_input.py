"""The campaign of bad input in short: a few inputs of every kind."""

import os
import re
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).with_name("bad_input.py")


def test_bad_input_ends_in_success_or_in_one_line():
    command = [sys.executable, SCRIPT, "--inputs", "84", "--seed", "7"]
    paths = os.pathsep.join([str(SCRIPT.parents[2]), os.environ.get("PYTHONPATH", "")])
    ran = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": paths})
    assert ran.returncode == 0, ran.stdout + ran.stderr
    kinds = re.findall(r"^(\S.*?) +(\d+) +(\d+) +(\d+) +(\d+)$", ran.stdout, re.MULTILINE)
    *each, (_, tried, refused, accepted, failed) = kinds
    assert len(each) == 21 and tried == "84" and failed == "0" and int(refused) > 20 and int(accepted) > 5
