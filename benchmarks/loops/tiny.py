# 10,000 iterations of some 20 µs: nothing to gain one by one
# serial

# %% setup
def distance(a, b):
    total = 0
    for i in range(260):
        total += (a ^ i) * (b & i) % 13
    return total

pairs = [(n * 7919 % 1009, n * 104729 % 2003) for n in range(50_000)]

# %% cell
total = 0
for a, b in pairs[:10_000]:
    total += distance(a, b)
print(total)
