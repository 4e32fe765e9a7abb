# SPDX-License-Identifier: GPL-3.0-or-later
"""Editors, by script and at a keyboard (tmux), with every way in which they write a file."""

import contextlib
import os
import signal
import subprocess

import pytest

from mounting import eventually, sh, watched


class Terminal:
    """A program in a terminal of its own."""

    def __init__(self, socket, command, cwd):
        self.socket = str(socket)
        environment = dict(os.environ, TERM='xterm-256color', LC_ALL='C.UTF-8', HOME=str(socket.parent))
        subprocess.run(self.tmux('-f', '/dev/null', 'new-session', '-d', '-x', '90', '-y', '24', command), cwd=cwd,
                       env=environment, check=True)

    def tmux(self, *arguments):
        return ['tmux', '-S', self.socket, *arguments]

    def type(self, *keys):
        subprocess.run(self.tmux('send-keys', *keys), check=True)

    def screen(self):
        done = subprocess.run(self.tmux('capture-pane', '-p'), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                              check=False)
        return done.stdout.decode('utf-8', 'replace')

    def shows(self, text):
        eventually(lambda: text in self.screen())

    def ended(self):
        done = subprocess.run(self.tmux('has-session'), stderr=subprocess.DEVNULL, check=False)
        return done.returncode != 0


@pytest.fixture(autouse=True)
def private_temporaries(monkeypatch, tmp_path):
    """Emacs leaves what it compiles there."""
    monkeypatch.setenv('TMPDIR', str(tmp_path))


@pytest.fixture
def terminal(mount, tmp_path):
    """terminal(command): runs it in the mount's directory."""
    started = []

    def start(command):
        started.append(Terminal(tmp_path / 'tmux', command, mount.directory))
        return started[-1]

    yield start
    for made in started:
        with contextlib.suppress(subprocess.CalledProcessError):
            if not made.ended():
                subprocess.run(made.tmux('kill-server'), check=True, stderr=subprocess.DEVNULL)


VIM_SETTINGS = ['set nobackup', 'set backup', 'set backupcopy=yes', 'set backup backupcopy=no', 'set nowritebackup', 'set nofsync', 'set noswapfile']


@pytest.mark.parametrize('editor', ['vim -es', 'nvim --headless'])
@pytest.mark.parametrize('setting', VIM_SETTINGS)
def test_vim_by_script(mount, database, editor, setting):
    keys = database.keys()
    vim = "%s -u NONE -c '%s'" % (editor, setting)
    with watched(database, 'greeting', 'hello', 'goodbye'):
        sh(vim + " -c '%s/hello/goodbye/' -c wq greeting", mount.directory)
    assert database.value('greeting') == 'goodbye'
    sh(vim + " -c '%s/3/3, 4/' -c wq list", mount.directory)
    assert database.value('list') == [1, 2, 3, 4]
    sh(vim + " -c 'normal ihello' -c wq new", mount.directory)
    assert database.value('new') == 'hello'
    assert database.keys() == keys | {b'new'}
    names = set(os.listdir(mount.directory))
    assert {name for name in names if not name.endswith('~')} == {key.decode() for key in keys} | {'new'}
    assert mount.text('greeting') == 'goodbye\n'


def test_vim_leaves_the_other_values_alone(mount, database):
    before = database.records()
    # -b: else vim ends every file with a newline, also those that are bytes.
    sh("vim -b -es -u NONE -c 'argdo write' -c qa *", mount.directory)
    assert database.records() == before


def test_vim_at_the_keyboard(mount, database, terminal):
    keys = database.keys()
    vim = terminal('vim --clean greeting')
    vim.shows('hello')
    vim.type('A', ' world', 'Escape')
    vim.shows('hello world')
    assert database.keys() == keys, 'a swap file became a key'
    vim.type(':w', 'Enter')
    eventually(lambda: database.value('greeting') == 'hello world')
    vim.type('o', 'second line', 'Escape', ':wq', 'Enter')
    eventually(vim.ended)
    assert database.value('greeting') == 'hello world\nsecond line'
    assert database.keys() == keys
    assert sorted(os.listdir(mount.directory)) == sorted(key.decode() for key in keys)


def test_vim_shows_that_a_save_is_refused(mount, database, terminal):
    before = database.records()
    vim = terminal('vim --clean list')
    vim.shows('[1, 2, 3]')
    vim.type('$', 'x', ':w', 'Enter')
    eventually(lambda: 'list' in mount.control('errors'))
    vim.shows('E5')  # E512 or E667: the write failed
    vim.type('Enter', ':q!', 'Enter')
    eventually(vim.ended)
    assert database.records() == before
    assert (mount / '.shelvefs/rejected/list').read_text() == '[1, 2, 3\n'
    assert mount.text('list') == '[1, 2, 3]\n'


def test_vim_killed_leaves_the_value(mount, database, terminal):
    before = database.records()
    vim = terminal('vim --clean -c "set updatetime=100" greeting')
    vim.shows('hello')
    vim.type('A', ' never saved', 'Escape')
    vim.shows('never saved')
    subprocess.run(vim.tmux('kill-server'), check=True)
    eventually(vim.ended)
    assert database.records() == before


def test_nano_saves_a_new_list(mount, database, terminal):
    nano = terminal('nano --ignorercfiles shopping')
    nano.shows('New File')
    nano.type("['tea', 'cake']")
    nano.type('C-x')
    nano.shows('Save modified')
    nano.type('y')
    nano.shows('Write')
    nano.type('Enter')
    eventually(nano.ended)
    assert database.value('shopping') == ['tea', 'cake']


def test_vim_recovers_what_was_not_saved(mount, database, terminal):
    """kill -9 of vim: its swap file is in the mount and not in the database."""
    keys = database.keys()
    vim = terminal('exec vim -Nu NONE greeting')
    vim.shows('hello')
    vim.type('A', ' from the swap file', 'Escape', ':preserve', 'Enter')
    vim.shows('File preserved')
    assert '.greeting.swp' in os.listdir(mount.directory) and database.keys() == keys
    pid = int(subprocess.run(vim.tmux('display-message', '-p', '#{pane_pid}'), stdout=subprocess.PIPE, check=True).stdout)
    os.kill(pid, signal.SIGKILL)
    eventually(vim.ended)
    assert database.value('greeting') == 'hello'
    sh('vim -es -u NONE -r -c wq greeting', mount.directory)
    assert database.value('greeting') == 'hello from the swap file'
    os.unlink(mount / '.greeting.swp')
    assert database.keys() == keys


def test_vim_undoes_after_it_was_left(mount, database):
    keys = database.keys()
    sh("vim -es -u NONE -c 'set undofile' -c '%s/hello/goodbye/' -c wq greeting", mount.directory)
    assert database.value('greeting') == 'goodbye'
    assert '.greeting.un~' in os.listdir(mount.directory)
    sh("vim -es -u NONE -c 'set undofile' -c 'undo' -c wq greeting", mount.directory)
    assert database.value('greeting') == 'hello'
    assert database.keys() == keys


def assert_only_backups_are_left(mount, keys):
    names = {name for name in os.listdir(mount.directory) if not name.endswith('~')}
    assert names == {key.decode() for key in keys}


EMACS_BACKUPS = '(setq backup-enable-predicate (lambda (name) t))'  # also below the directory for temporary files


def test_emacs_at_the_keyboard(mount, database, terminal):
    """Its lock is a symlink, its auto-save a file of its own, its backup the renamed key."""
    keys = database.keys()
    with watched(database, 'greeting', 'hello', 'oh hello', 'oh hello again'):
        emacs = terminal('emacs -nw -Q --eval "%s" greeting' % EMACS_BACKUPS)
        emacs.shows('hello')
        emacs.type('oh ')
        emacs.shows('oh hello')
        eventually(lambda: os.path.islink(mount / '.#greeting'))
        emacs.type('M-x', 'do-auto-save', 'Enter')
        eventually(lambda: '#greeting#' in os.listdir(mount.directory) and mount.text('#greeting#') == 'oh hello\n')
        assert database.keys() == keys
        emacs.type('C-x', 'C-s')
        eventually(lambda: database.value('greeting') == 'oh hello')
        eventually(lambda: not os.path.islink(mount / '.#greeting'))
        assert mount.text('greeting~') == 'hello\n'
        emacs.type('C-e', ' again', 'C-x', 'C-s')
        eventually(lambda: database.value('greeting') == 'oh hello again')
        emacs.type('C-x', 'C-c')
        eventually(emacs.ended)
    assert database.keys() == keys
    assert_only_backups_are_left(mount, keys)


@pytest.mark.parametrize('setting', ['make-backup-files nil', 'backup-by-copying t', 'version-control t', 'file-precious-flag t'])
def test_emacs_by_script(mount, database, setting):
    keys = database.keys()
    with watched(database, 'greeting', 'hello', 'goodbye'):
        sh("emacs -Q --batch greeting --eval '(progn %s (setq %s) (goto-char 1) (insert \"goodbye\") (kill-line) (save-buffer))'"
           % (EMACS_BACKUPS, setting), mount.directory)
    assert database.value('greeting') == 'goodbye'
    mount.remount()
    assert database.keys() == keys


# Name: command, what is typed to change the text, and how it is saved and left: keys to type, texts to wait for.
AT_THE_KEYBOARD = {
    'nano': ('nano --ignorercfiles greeting', ['oh '], [['C-o'], 'Write', ['Enter'], 'Wrote', ['C-x']]),
    'nano -B': ('nano --ignorercfiles -B greeting', ['oh '], [['C-o'], 'Write', ['Enter'], 'Wrote', ['C-x']]),
    'nano -G': ('nano --ignorercfiles -G greeting', ['oh '], [['C-o'], 'Write', ['Enter'], 'Wrote', ['C-x']]),
    'neovim': ('nvim --clean greeting', ['i', 'oh ', 'Escape'], [[':wq', 'Enter']]),
    'joe': ('joe greeting', ['oh '], [['C-k', 'x']]),
    'micro': ('micro greeting', ['oh '], [['C-s'], 'Saved', ['C-q']]),
}


@pytest.mark.parametrize('name', AT_THE_KEYBOARD)
def test_at_the_keyboard(mount, database, terminal, name):
    command, change, leave = AT_THE_KEYBOARD[name]
    keys = database.keys()
    with watched(database, 'greeting', 'hello', 'oh hello'):
        editor = terminal(command)
        editor.shows('hello')
        editor.type(*change)
        editor.shows('oh hello')
        for step in leave:
            if isinstance(step, list):
                editor.type(*step)
            else:
                editor.shows(step)
        eventually(editor.ended)
    assert database.value('greeting') == 'oh hello'
    assert database.keys() == keys
    assert_only_backups_are_left(mount, keys)
