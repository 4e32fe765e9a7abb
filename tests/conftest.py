# SPDX-License-Identifier: GPL-3.0-or-later
"""
For all tests in Python: in CI a skipped test is a failure, except where an old CPython is not on the machine, or in the build for
sanitizers what only the other build can do.
"""

import os

import pytest

STRICT = os.environ.get('CI') == 'true'
# The last: of other CPythons than the system's.
MAY_BE_MISSING = ('no Python 2.7', 'no Python with dbm.sqlite3', 'has no test package', 'no loop mounts here',
                  'a sanitizer reserves terabytes', 'a sanitizer has allocations of its own',
                  'a sanitizer has to be loaded first', 'got empty parameter set')


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if STRICT and report.skipped and not any(reason in str(report.longrepr) for reason in MAY_BE_MISSING):
        report.outcome = 'failed'
