"""Word lists for `pseudonym`: common names and cities, each list in a fixed order.

A change of a list changes every pseudonym: they are a contract, like the derivation of subkeys.
"""

from __future__ import annotations

GIVEN_NAMES = tuple(
    """
    Aaron Abigail Adam Adrian Agnes Aisha Alan Albert Alejandra Alexander Alice Alma Amara Amelia Amir Ana Andre
    Andrea Angela Anna Anton Antonia Arjun Arthur Astrid Beatrice Benjamin Bianca Boris Brigitte Bruno Camila Carla
    Carlos Caroline Cecilia Charles Chiara Chloe Christian Clara Claudia Colin Cora Cyrus Dalia Damian Daniel Daria
    David Delia Denis Diana Diego Dora Edith Edward Elena Elias Elisa Emil Emilia Emma Enzo Erica Erik Esther Eva
    Fatima Felix Fiona Flora Frances Frank Frida Gabriel Gemma George Gerard Gloria Grace Greta Gustav Hana Hannah
    Harold Hassan Hector Helen Henry Hugo Ida Igor Ines Ingrid Irene Iris Isaac Ivan Jacob Jamila Jan Jasmine Javier
    Joan Johan Jonas Judith Julia Julian Karim Karin Kenji Laila Lara Laura Leo Leon Lina Linus Lorenzo Louis Lucia
    Lydia Maja Marco Maria Marta Martin Mateo Maya Mehmet Mila Miriam Nadia Naomi Nathan Nikolai Nina Noah Nora Olga
    Oliver Omar Oscar Paul Paula Pedro Peter Petra Philip Priya Rafael Rania Raquel Rita Robert Rosa Ruben Ruth Samir
    Samuel Sandra Sara Sergei Silvia Simon Sofia Stefan Susan Sven Tara Teresa Theo Thomas Tobias Valentina Vera
    Victor Viola Walter Wanda William Xavier Yara Yusuf Zoe
    """.split()  # noqa: SIM905 - a list this long reads better as text
)

FAMILY_NAMES = tuple(
    """
    Abbott Adler Ahmed Alvarez Andersen Andrews Arnold Bailey Baker Baldwin Barker Barnes Barrett Bauer Becker Bell
    Bennett Berg Bianchi Bishop Black Blake Bosch Bowman Bradley Brandt Brooks Brown Bryant Burke Burns Butler Calvo
    Campbell Carlson Carpenter Carter Castro Chandra Chapman Chavez Chen Christensen Clark Cohen Cole Collins Conti
    Cook Cooper Costa Cox Crawford Cruz Dahl Davidson Delgado Diaz Dixon Dubois Duncan Edwards Eklund Elliott Ellis
    Evans Farrell Fernandez Ferrari Fischer Fisher Fleming Fletcher Flores Forster Foster Fox Franklin Fraser Fuchs
    Garcia Gardner Gibson Gomez Gordon Graham Grant Gray Greco Green Griffin Gruber Gupta Haas Hahn Hall Hamilton
    Hansen Harper Harris Hart Hartmann Hayes Henderson Herrera Hill Hoffman Holm Hughes Hunt Ibrahim Ivanova Jackson
    Jansen Jensen Johnson Jones Jordan Joshi Kaiser Kaplan Keller Kelly Kennedy Khan Kim King Klein Kovacs Kowalski
    Kumar Lang Larsen Lawson Lee Lehmann Leone Lewis Lindberg Lopez Ludwig Marino Marsh Martinez Mason Mendez Meyer
    Miller Mitchell Moore Morales Moretti Morgan Morris Murphy Myers Nagy Nelson Nguyen Novak Olsen Ortiz Owens Palmer
    Park Parker Patel Perez Peterson Phillips Popov Porter Powell Price Quinn Ramirez Reed Richter Rivera Roberts
    Robinson Romano Rossi Russo Ryan Santos Schmidt Schneider Schulz Silva Singh Smith Sokolov Stewart Suzuki Tanaka
    Taylor Torres Turner Vargas Vogel Wagner Walker Walsh Wang Watson Weber West White Wilson Wolf Wong Wright
    Yamamoto Yilmaz Young Zhang Zimmermann
    """.split()  # noqa: SIM905
)

CITIES = tuple(
    """
    Aarhus Accra Adelaide Almaty Amsterdam Ankara Antwerp Athens Atlanta Auckland Baltimore Bangkok Barcelona Basel
    Beirut Belfast Belgrade Bergen Berlin Bilbao Birmingham Bogota Bologna Bordeaux Boston Bratislava Bremen Brisbane
    Bristol Brussels Bucharest Budapest Busan Cairo Calgary Cardiff Casablanca Chennai Chicago Cologne Copenhagen Cork
    Dakar Dallas Darwin Delhi Denver Detroit Dresden Dublin Durban Edinburgh Florence Frankfurt Gdansk Geneva Genoa
    Ghent Glasgow Gothenburg Granada Graz Grenoble Guadalajara Halifax Hamburg Hanoi Hanover Havana Helsinki Hobart
    Houston Innsbruck Istanbul Izmir Jakarta Johannesburg Kampala Karachi Kathmandu Kigali Kingston Krakow Kyoto Lagos
    Lausanne Leeds Leipzig Lille Lima Limerick Linz Lisbon Liverpool Ljubljana London Lusaka Lyon Madrid Malaga
    Manchester Manila Marseille Medellin Melbourne Memphis Miami Milan Minsk Montevideo Montreal Mumbai Munich Nagoya
    Nairobi Nantes Naples Nice Odessa Osaka Oslo Ottawa Oxford Palermo Paris Perth Phoenix Porto Poznan Prague Quebec
    Quito Regina Reykjavik Riga Rome Rosario Rotterdam Salzburg Santiago Sapporo Sarajevo Seattle Seoul Seville
    Singapore Sofia Stockholm Strasbourg Stuttgart Sydney Taipei Tallinn Tampere Tashkent Tbilisi Tokyo Toledo Toronto
    Toulouse Trieste Trondheim Turin Utrecht Valencia Vancouver Verona Vienna Vilnius Warsaw Wellington Winnipeg
    Wroclaw York Zagreb Zurich
    """.split()  # noqa: SIM905
)

LISTS = {"given-names": GIVEN_NAMES, "family-names": FAMILY_NAMES, "cities": CITIES}
