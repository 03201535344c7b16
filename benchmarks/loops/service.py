# Waiting for a service, one request after the other
# parallel
# workers: 4

# %% setup
import time

def fetch(city):
    time.sleep(0.15)  # the service takes that long
    return {"city": city, "temperature": sum(map(ord, city)) % 30}

cities = ["Paris", "Rome", "Oslo", "Bern", "Wien", "Riga", "Kiel", "Lyon", "Graz", "Cork", "Bonn", "Turku"]

# %% cell
answers = []
for city in cities:
    answer = fetch(city)
    answers.append(answer)
warmest = max(answers, key=lambda a: a["temperature"])
print(warmest["city"])

# %% joblib
from joblib import Parallel, delayed
answers = Parallel(n_jobs=JOBS)(delayed(fetch)(city) for city in cities)
warmest = max(answers, key=lambda a: a["temperature"])
print(warmest["city"])
