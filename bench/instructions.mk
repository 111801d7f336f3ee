# instructions of each operation, against the record in bench/instructions (bench/instructions/README.md)
# The clock and the random seeds are the program's own, so that two runs do the same.
$(BUILD)/bench/count: bench/instructions/count.c $(wildcard bench/c/*.h) $(BUILD)/opt/libmeshfast.a
	@mkdir -p $(@D)
	$(CC) $(OPT) -Ibench/c -Wl,--wrap=clock_gettime,--wrap=getrandom $< $(BUILD)/opt/libmeshfast.a -lpthread -o $@

.PHONY: instructions instructions-record
instructions: $(VENV)/.built $(BUILD)/bench/count ## count instructions; fails where one grew by over 5 %
	CC="$(CC)" $(PY) -m bench.instructions check
instructions-record: $(VENV)/.built $(BUILD)/bench/count ## write the record anew: make instructions-record RECORD='--only grpc'
	CC="$(CC)" $(PY) -m bench.instructions record $(RECORD)
