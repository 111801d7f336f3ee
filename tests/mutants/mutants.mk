# mutants: the C core with one thing wrong, each of which a test must catch
.PHONY: mutants
mutants: $(VENV)/.built ## break the lock-free code in one place at a time and see that it is noticed; MUTANTS=--sample
	@$(PY) tests/mutants/run.py $(MUTANTS)
