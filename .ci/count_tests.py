"""Fail where no test ran: python .ci/count_tests.py junit.xml."""

import sys
from xml.etree import ElementTree

suites = ElementTree.parse(sys.argv[1]).getroot().iter("testsuite")  # noqa: S314  our own file
ran, skipped = 0, 0
for suite in suites:
    ran += int(suite.get("tests", 0))
    skipped += int(suite.get("skipped", 0))
if ran - skipped <= 0:
    sys.exit(f"no test ran ({skipped} skipped): see the output of `make test` above")
sys.stdout.write(f"{ran - skipped} tests ran, {skipped} skipped\n")
